package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/internal/cpu"
)

// buildFacts say what this binary is made from. Strings that the build did not record are "unknown".
type buildFacts struct {
	Version  string `json:"version"`  // of the module
	Revision string `json:"revision"` // of the repository
	Modified bool   `json:"modified"` // the tree had changes on top of the revision
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Level    string `json:"level"` // of the primitives
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which build of mai this is",
		Example: "  mai version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := readBuild()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(out).Encode(b))
			}
			revision := b.Revision
			if b.Modified {
				revision += " with changes"
			}
			_, err = fmt.Fprintf(out, "mai %s\nrevision %s\n%s\n%s/%s, level %s\n", b.Version, revision, b.Go, b.OS, b.Arch, b.Level)
			return outputError(err)
		},
	}
}

func readBuild() (buildFacts, error) {
	level, err := cpu.Detect()
	if err != nil {
		return buildFacts{}, err
	}
	b := buildFacts{
		Version: "unknown", Revision: "unknown", Go: runtime.Version(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, Level: level.String(),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b, nil
	}
	if v := info.Main.Version; v != "" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b, nil
}
