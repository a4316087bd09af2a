package models_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models"
)

// Models of before there was a file for prompts are known by their names.
func TestKnownPrompts(t *testing.T) {
	const represent = "Represent this sentence for searching relevant passages: "
	for _, c := range []struct{ name, query, document string }{
		{"e5-small", "query: ", "passage: "},
		{"e5-large-v2", "query: ", "passage: "},
		{"E5-base-v2", "query: ", "passage: "},
		{"e5-base-unsupervised", "query: ", "passage: "},
		{"multilingual-e5-base", "query: ", "passage: "},
		{"multilingual-e5-large-instruct", "", ""},
		{"my-e5-small", "", ""},
		{"e5-small-of-mine", "", ""},
		{"bge-small-en", represent, ""},
		{"bge-large-en-v1.5", represent, ""},
		{"bge-large-en-v1x5", "", ""},
		{"bge-base-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""},
		{"bge-m3", "", ""},
		{"gte-base", "", ""},
		{"nomic-embed-text-v1", "search_query: ", "search_document: "},
		{"nomic-embed-text-v1.5", "search_query: ", "search_document: "},
		{"snowflake-arctic-embed-xs", represent, ""},
		{"snowflake-arctic-embed-m-v1.5", represent, ""},
		{"snowflake-arctic-embed-l-v2.0", "query: ", ""},
		{"mxbai-embed-large-v1", represent, ""},
		{"UAE-Large-V1", represent, ""},
		{"all-MiniLM-L6-v2", "", ""},
	} {
		bare := tiny(t)
		delete(bare, "m/config_sentence_transformers.json")
		files := fstest.MapFS{}
		for name, file := range bare {
			files[c.name+name[1:]] = file
		}
		m, err := models.OpenFS(files, c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		defer m.Close()
		if d := m.Describe(); d.Query != c.query || d.Document != c.document {
			t.Errorf("%s: prompts %q and %q, want %q and %q", c.name, d.Query, d.Document, c.query, c.document)
		}
		got, info := embed(t, m, "cat", models.AsQuery)
		want, plain := embed(t, m, c.query+"cat")
		if !slices.Equal(got, want) || info.RoleMissing || plain.RoleMissing != (c.query != "") {
			t.Errorf("%s: not the vector of the text with its prompt, or %+v and %+v", c.name, info, plain)
		}
	}
}

// Where a model's name is found, and what goes before it.
func TestWhereNamesAreFound(t *testing.T) {
	const index = "---\nlicense: mit\nmodel-index:\n- name: e5-small-v2\n  results:\n  - task: x\n---\n# A model\n"
	config := func(name string) map[string]string {
		return map[string]string{"config.json": `{"_name_or_path": "` + name + `",` + string(tiny(t)["m/config.json"].Data[1:])}
	}
	for _, c := range []struct {
		name, folder string
		files        map[string]string
		query        string
	}{
		{"the folder", "bge-small-zh", nil, "为这个句子生成表示以用于检索相关文章："},
		{"a cache", "models--intfloat--e5-small-v2/snapshots/ffb93f3bd4047442299a41ebb6fa998a38507c52", nil, "query: "},
		{"a cache of another", "models--me--mine/snapshots/e5-small-v2", nil, ""},
		{"the card", "model", map[string]string{"README.md": index}, "query: "},
		{"the card of another", "model", map[string]string{"README.md": "# e5-small-v2\nmodel-index:\n- name: e5-small-v2\n"}, ""},
		{"the configuration", "model", config("nomic-ai/nomic-embed-text-v1"), "search_query: "},
		{"the card before the folder", "bge-small-en", map[string]string{"README.md": index}, "query: "},
		{"prompts of its own", "e5-small-v2", map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"q: "}}`}, "q: "},
		{"only a document's of its own", "e5-small-v2", map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"","passage":"p: "}}`}, ""},
		{"empty prompts", "e5-small-v2", map[string]string{"config_sentence_transformers.json": `{"prompts":{"query":"","document":""}}`}, "query: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := tiny(t)
			delete(files, "m/config_sentence_transformers.json")
			for name, data := range c.files {
				set(files, name, data)
			}
			root := t.TempDir()
			if err := os.CopyFS(root, files); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(root, filepath.FromSlash(c.folder))
			if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(root, "m"), dir); err != nil {
				t.Fatal(err)
			}
			if d := open(t, dir).Describe(); d.Query != c.query {
				t.Errorf("the prompt is %q, want %q", d.Query, c.query)
			}
		})
	}
}

// A prompt for texts without a role is what such texts get, so none is missing.
func TestDefaultPromptIsARole(t *testing.T) {
	files := tiny(t)
	set(files, "config_sentence_transformers.json", `{"prompts":{"query":"q: ","plain":"text: "},"default_prompt_name":"plain"}`)
	m, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got, info := embed(t, m, "cat")
	if want, _ := embed(t, open(t, tinyBERT), "text: cat"); info.RoleMissing || !slices.Equal(got, want) {
		t.Errorf("%+v, or another vector", info)
	}
}
