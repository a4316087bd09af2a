package models

import (
	"path"
	"regexp"
)

// promptTable lists models that were trained with prompts, by the names under which they are published,
// for folders whose config_sentence_transformers.json says nothing of prompts: most that are older than
// that file. A name counts as a whole and in any letters: what someone made of one of these models may
// want other prompts, and has another name.
//
// Models that were trained without prompts need no line: gte-small and its kind, bge-m3, all-MiniLM,
// multi-qa. Nor do those that want an instruction of the user's own for each task (e5-mistral, gte-Qwen2,
// multilingual-e5-large-instruct, instructor): there is no fixed prompt to give.
//
// Sources: the model cards of the organisations named here, on huggingface.co; for bge also the list of
// models in https://github.com/FlagOpen/FlagEmbedding.
var promptTable = []struct {
	organisation, name string // name is a regular expression
	query, document    string
}{
	{"intfloat", `(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?`, "query: ", "passage: "},
	{"BAAI", `bge-(small|base|large)-en(-v1\.5)?`, representSentence, ""},
	{"BAAI", `bge-(small|base|large)-zh(-v1\.5)?`, "为这个句子生成表示以用于检索相关文章：", ""},
	{"nomic-ai", `nomic-embed-text-v1(\.5|-unsupervised|-ablated)?|modernbert-embed-base`, "search_query: ", "search_document: "},
	{"Snowflake", `snowflake-arctic-embed-(xs|s|m|l|m-long|m-v1\.5)`, representSentence, ""},
	{"Snowflake", `snowflake-arctic-embed-[ml]-v2\.0`, "query: ", ""},
	{"mixedbread-ai", `mxbai-embed-large-v1`, representSentence, ""},
	{"WhereIsAI", `UAE-Large-V1`, representSentence, ""},
}

const representSentence = "Represent this sentence for searching relevant passages: "

// knownPrompts looks for the first of names in the table, without the organisation before it.
func knownPrompts(names []string) (query, document string) {
	for _, name := range names {
		for _, p := range promptTable {
			if regexp.MustCompile(`(?i)^(?:` + p.name + `)$`).MatchString(path.Base(name)) {
				return p.query, p.document
			}
		}
	}
	return "", ""
}

// wantsRole says whether the model was trained to be told queries from documents. One whose files name a
// prompt for texts without a role has that instead.
func (m *Model) wantsRole() bool {
	return m.prompts[roleNone] == "" && (m.prompts[roleQuery] != "" || m.prompts[roleDocument] != "")
}

// readPrompts reads what goes before a text in each role: what the model's files say, otherwise what is known
// of a model of one of these names.
func (f *folder) readPrompts(names []string) (prompts [3]string, err error) {
	var c struct {
		Prompts map[string]*string `json:"prompts"`
		Default *string            `json:"default_prompt_name"`
	}
	name := path.Join(f.dir, promptsFile)
	if err := f.optional(name, &c); err != nil {
		return prompts, err
	}
	first := func(names ...string) string {
		for _, n := range names {
			if p := c.Prompts[n]; p != nil && *p != "" {
				return *p
			}
		}
		return ""
	}
	if c.Default != nil {
		if _, ok := c.Prompts[*c.Default]; !ok {
			return prompts, f.errorf(name, "default_prompt_name", "%q is none of the prompts", *c.Default)
		}
		prompts[roleNone] = first(*c.Default)
	}
	prompts[roleQuery] = first("query")
	// The library adds an empty "document" to every file that it saves, so an empty one says nothing.
	prompts[roleDocument] = first("document", "passage", "corpus")
	if prompts == [3]string{} {
		prompts[roleQuery], prompts[roleDocument] = knownPrompts(names)
	}
	return prompts, nil
}
