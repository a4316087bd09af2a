package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/internal/cpu"
	_ "github.com/maida-ai/gomai/simd" // registers its primitives
)

// doctorRecord is what doctor prints with --json.
type doctorRecord struct {
	CPU        cpuFacts         `json:"cpu"`
	MaiCPU     string           `json:"mai_cpu"` // what the variable says; "" if it is not set
	Level      string           `json:"level"`   // that runs
	Levels     []levelFacts     `json:"levels"`  // best first
	Features   []featureFacts   `json:"features"`
	Primitives []primitiveFacts `json:"primitives"`
	Host       hostFacts        `json:"host"`
	Model      *modelFacts      `json:"model,omitempty"`
}

// cpuFacts describe the processor. A nil number is unknown, and so is the string "unknown".
type cpuFacts struct {
	Brand         string `json:"brand"`
	Vendor        string `json:"vendor"`
	Family        *int   `json:"family"`
	Model         *int   `json:"model"`
	Stepping      *int   `json:"stepping"`
	Hypervisor    string `json:"hypervisor"` // "" if there is none, or it does not show itself
	PhysicalCores *int   `json:"physical_cores"`
	LogicalCores  int    `json:"logical_cores"` // that this process may run on
	L1D           *int   `json:"l1d_bytes"`     // of one core
	L1I           *int   `json:"l1i_bytes"`
	L2            *int   `json:"l2_bytes"`
	L3            *int   `json:"l3_bytes"`
}

// levelFacts say whether primitives written for a level run.
type levelFacts struct {
	Level  string `json:"level"`
	Usable bool   `json:"usable"`
	Reason string `json:"reason"` // why not
}

// featureFacts say whether the machine has what some primitives want beside their level.
type featureFacts struct {
	Feature   string `json:"feature"`
	Available bool   `json:"available"` // whatever MAI_CPU says
}

// primitiveFacts say which variant of a primitive runs, and which better ones do not.
type primitiveFacts struct {
	Name string `json:"name"`
	variantFacts
	Better []betterFacts `json:"better"`
}

type variantFacts struct {
	Level string   `json:"level"`
	Needs []string `json:"needs"` // features beside the level
}

type betterFacts struct {
	variantFacts
	Reason string `json:"reason"` // why it does not run
}

func newDoctor() *cobra.Command {
	var model modelFlag
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine can run, what runs, and why nothing better does",
		Long: `Show what this machine can run, what runs, and why nothing better does.

A level is a set of instructions that primitives (the loops over vectors and matrices) are
written for. Each primitive runs at the best level that it was written for and that the CPU,
the operating system and the start-up self-tests allow. The variable MAI_CPU lowers the
level: MAI_CPU=avx2 runs nothing above avx2, MAI_CPU=generic runs plain Go. The features
are what the machine has, whatever MAI_CPU says. A matrix product that ends with an epilogue
(GemmU8I8F32 and the like) is no primitive of its own: it stands under GemmU8I8 and Epilogue.

With --model the texts that the packer put into a packed model are embedded, and their vectors
compared with the packer's: 'mai doctor' fails if they are not the same.

With --json a fact that is unknown is null or "unknown", and a limit of 0 is none.`,
		Example: "  mai doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := examine(system{os.DirFS("/")})
			if err != nil {
				return err
			}
			var wrong error
			if model.path != "" {
				if r.Model, wrong = examineModel(cmd.Context(), &model); r.Model == nil {
					return wrong
				}
			}
			if wantsJSON(cmd) {
				return errors.Join(outputError(json.NewEncoder(cmd.OutOrStdout()).Encode(r)), wrong)
			}
			return errors.Join(outputError(r.print(cmd.OutOrStdout())), wrong)
		},
	}
	model.flags(cmd)
	return cmd
}

// modelFacts say whether a packed model computes here what it did where it was packed.
type modelFacts struct {
	Path      string `json:"path"`
	Kind      string `json:"kind"`
	Precision string `json:"precision"`
	Golden    int    `json:"golden"` // texts with vectors in the file
	Same      bool   `json:"same"`   // all of them are what the packer got, or there is none
}

// examineModel opens the model and embeds its golden texts. The facts are nil if it cannot be opened.
func examineModel(ctx context.Context, flag *modelFlag) (*modelFacts, error) {
	m, err := flag.open()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	d := m.Describe()
	err = m.CheckGolden(ctx)
	return &modelFacts{Path: flag.path, Kind: d.Kind, Precision: d.Precision, Golden: d.Golden, Same: err == nil}, err
}

// examine finds out everything that doctor tells.
func examine(s system) (*doctorRecord, error) {
	level, err := cpu.Detect()
	if err != nil {
		return nil, err
	}
	r := &doctorRecord{CPU: s.cpu(cpu.Describe()), MaiCPU: os.Getenv(cpu.Env), Level: level.String()}
	for l := cpu.AMX; ; l-- {
		reason := cpu.Why(l)
		r.Levels = append(r.Levels, levelFacts{l.String(), reason == "", reason})
		if l == cpu.Generic {
			break
		}
	}
	has := cpu.Available()
	for _, f := range cpu.Features {
		r.Features = append(r.Features, featureFacts{f.String(), has&f != 0})
	}
	for _, p := range cpu.Primitives() {
		facts := primitiveFacts{Name: p.Name, variantFacts: variant(p.Variant()), Better: []betterFacts{}}
		for _, b := range p.Better() {
			facts.Better = append(facts.Better, betterFacts{variant(b.Variant), b.Reason})
		}
		r.Primitives = append(r.Primitives, facts)
	}
	r.Host = hostFacts{OS: runtime.GOOS, Arch: runtime.GOARCH, GOMAXPROCS: runtime.GOMAXPROCS(0)}
	s.facts(&r.Host)
	return r, nil
}

func variant(v cpu.Variant) variantFacts {
	facts := variantFacts{Level: v.Level.String(), Needs: []string{}}
	for _, f := range cpu.Features {
		if v.Needs&f != 0 {
			facts.Needs = append(facts.Needs, f.String())
		}
	}
	return facts
}

// cpu puts together what the processor and the kernel say about it. The kernel knows more of caches and
// cores, the processor itself also tells where there is no /proc.
func (s system) cpu(d cpu.Description) cpuFacts {
	name, cores := s.processors()
	caches := s.caches()
	facts := cpuFacts{
		Brand: first(d.Brand, name, notKnown), Vendor: first(d.Vendor, notKnown), Hypervisor: d.Hypervisor,
		PhysicalCores: known(first(cores, d.PhysicalCores)), LogicalCores: runtime.NumCPU(),
		L1D: known(first(caches["1Data"], d.L1D)), L1I: known(first(caches["1Instruction"], d.L1I)),
		L2: known(first(caches["2Unified"], d.L2)), L3: known(first(caches["3Unified"], d.L3)),
	}
	if d.Family != 0 { // without it, the zeros of model and stepping mean nothing
		facts.Family, facts.Model, facts.Stepping = &d.Family, &d.Model, &d.Stepping
	}
	return facts
}

// first returns the first value that is not zero.
func first[T comparable](values ...T) (v T) {
	for _, v := range values {
		var zero T
		if v != zero {
			return v
		}
	}
	return v
}

// known returns a pointer to n, nil if it is 0.
func known(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// print writes the record as people read it.
func (r *doctorRecord) print(w io.Writer) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	c, h := &r.CPU, &r.Host
	brand := fmt.Sprintf("%s (%s, family %s, model %s, stepping %s)", c.Brand, c.Vendor, number(c.Family), number(c.Model), number(c.Stepping))
	if c.Hypervisor != "" {
		brand += ", hypervisor " + c.Hypervisor
	}
	fmt.Fprintf(t, "CPU\t%s\n", brand)
	fmt.Fprintf(t, "cores\t%s physical, %d logical for this process\n", number(c.PhysicalCores), c.LogicalCores)
	fmt.Fprintf(t, "caches\tL1d %s, L1i %s, L2 %s, L3 %s\n", bytesOf(c.L1D), bytesOf(c.L1I), bytesOf(c.L2), bytesOf(c.L3))
	fmt.Fprintf(t, "CPU limit\t%s, GOMAXPROCS %d\n", limitOf(h.CPULimit, number), h.GOMAXPROCS)
	fmt.Fprintf(t, "memory\t%s, limit %s\n", bytesOf(h.Memory), limitOf(h.MemoryLimit, bytesOf))
	fmt.Fprintf(t, "huge pages\ttransparent: %s; reserved: %s of %s, %s free\n", h.TransparentHP, number(h.HugePages), bytesOf(h.HugePageMemory), number(h.HugePagesFree))
	fmt.Fprintf(t, "clock source\t%s\n", h.ClockSource)
	fmt.Fprintf(t, "kernel\t%s/%s %s\n", h.OS, h.Arch, h.Kernel)
	fmt.Fprintf(t, "MAI_CPU\t%s\n", first(r.MaiCPU, "not set"))

	fmt.Fprintf(t, "\nlevel\tstate\n")
	for _, l := range r.Levels {
		state := "usable"
		switch {
		case l.Level == r.Level:
			state = "runs"
		case !l.Usable:
			state = "no: " + l.Reason
		}
		fmt.Fprintf(t, "%s\t%s\n", l.Level, state)
	}
	var has []string
	for _, f := range r.Features {
		if f.Available {
			has = append(has, f.Feature)
		}
	}
	fmt.Fprintf(t, "features\t%s\n", first(strings.Join(has, ", "), "none"))

	fmt.Fprintf(t, "\nprimitive\truns at\tbetter, but not used\n")
	for _, p := range r.Primitives {
		fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, p, betterColumn(p.Better))
	}
	if m := r.Model; m != nil {
		state := fmt.Sprintf("%d texts have the packer's vectors", m.Golden)
		switch {
		case m.Golden == 0:
			state = "not a packed file, so there are no vectors to compare with"
		case !m.Same:
			state = "other vectors than the packer's"
		}
		fmt.Fprintf(t, "\nmodel\t%s\n%s, %s\t%s\n", oneField(m.Path), m.Kind, m.Precision, state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// The last column of the primitives is empty as a rule, and padding nobody needs.
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// betterColumn lists variants and says each reason once.
func betterColumn(better []betterFacts) string {
	var s string
	for i, b := range better {
		switch {
		case i == 0:
		case b.Reason == better[i-1].Reason:
			s += ", "
		default:
			s += "; "
		}
		s += b.String()
		if i+1 == len(better) || b.Reason != better[i+1].Reason {
			s += ": " + b.Reason
		}
	}
	return s
}

func (v variantFacts) String() string {
	return strings.Join(append([]string{v.Level}, v.Needs...), "+")
}

// number formats n, "unknown" if it is nil.
func number[N int | int64 | float64](n *N) string {
	if n == nil {
		return notKnown
	}
	return fmt.Sprint(*n)
}

// bytesOf formats n as bytes, in the largest unit that leaves it above 1, "unknown" if it is nil.
func bytesOf[N int | int64](n *N) string {
	if n == nil {
		return notKnown
	}
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := int64(1) << (30 - 10*i); int64(*n) >= size {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(*n)/float64(size)), ".0") + " " + unit
		}
	}
	return fmt.Sprintf("%d B", *n)
}

// limitOf formats a limit, of which 0 is none.
func limitOf[N int | int64 | float64](n *N, format func(*N) string) string {
	if n != nil && *n == 0 {
		return "none"
	}
	return format(n)
}
