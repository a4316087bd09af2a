//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func gemmBF16(dst []float32, a, w []BFloat16, m, n, k int) {
	switch v := gemmBF16Code.Variant(); v.Level {
	case cpu.AMX:
		gemmBF16AMX(dst, a, w, m, n, k)
	case cpu.AVX512, cpu.AVX2:
		gemmBF16Tiles(v, dst, a, w, m, n, k)
	default:
		gemmBF16Generic(dst, a, w, m, n, k)
	}
}

// The largest tile of any version, in rows and in panels of columns.
const (
	maxTileRowsBF16   = 8
	maxTilePanelsBF16 = 3
)

// tileBF16 is what the assembly of a tile gets: fields of eight bytes, read in this order by the generator.
type tileBF16 struct {
	a         *BFloat16 // first row; the others follow in its step
	w         *BFloat16 // first panel
	wStep     int       // bytes from one panel to the next
	start     *float32  // what the sums start from
	startStep int       // bytes from one row of it to the next; 0: all rows start alike
	sums      *float32
	sumsStep  int // bytes from one row to the next
	steps     int // at least 1
}

// callBF16 is the most steps that one call of assembly takes: the scheduler cannot interrupt it.
const callBF16 = 256

// gemmBF16Tiles computes the product tile by tile. Whole tiles go to dst directly, others by way of scratch.
func gemmBF16Tiles(v cpu.Variant, dst []float32, a, w []BFloat16, m, n, k int) {
	tileRows, tilePanels := maxTileRowsBF16, maxTilePanelsBF16
	if v.Level == cpu.AVX2 {
		tileRows, tilePanels = 4, 1
	}
	steps := roundUp(k, stepBF16) / stepBF16
	block := steps * stepSizeBF16
	var scratch [maxTileRowsBF16 * maxTilePanelsBF16 * panelColumns]float32
	for j := 0; j < n; j += tilePanels * panelColumns {
		panels := min(tilePanels, (n-j+panelColumns-1)/panelColumns)
		columns := min(panels*panelColumns, n-j)
		for i := 0; i < m; i += tileRows {
			rows := min(tileRows, m-i)
			first, panel := i/blockRowsBF16*block+i%blockRowsBF16*stepBF16, j/panelColumns*block
			t := tileBF16{
				wStep: 2 * block,
				start: &zerosF32[0], sums: &scratch[0], sumsStep: 4 * maxTilePanelsBF16 * panelColumns,
			}
			whole := rows%4 == 0 && columns == panels*panelColumns
			if whole {
				t.sums, t.sumsStep = &dst[i*n+j], 4*n
			}
			for s := 0; s < steps; s += callBF16 {
				t.steps = min(callBF16, steps-s)
				t.a, t.w = &a[first+s*stepSizeBF16], &w[panel+s*stepSizeBF16]
				runTileBF16(v, &t, rows, panels)
				t.start, t.startStep = t.sums, t.sumsStep
			}
			if !whole {
				for r := range rows {
					copy(dst[(i+r)*n+j:][:columns], scratch[r*maxTilePanelsBF16*panelColumns:])
				}
			}
		}
	}
}

// runTileBF16 computes a tile of 8 rows, or of 4 if that is enough.
func runTileBF16(v cpu.Variant, t *tileBF16, rows, panels int) {
	switch {
	case v.Level == cpu.AVX2:
		tileBF16x4x16AVX2(t)
	case v.Needs&cpu.BF16 != 0:
		runTileBF16AVX512BF16(t, rows, panels)
	default:
		runTileBF16AVX512(t, rows, panels)
	}
}

func runTileBF16AVX512BF16(t *tileBF16, rows, panels int) {
	switch {
	case rows > 4 && panels == 3:
		tileBF16x8x48AVX512BF16(t)
	case rows > 4 && panels == 2:
		tileBF16x8x32AVX512BF16(t)
	case rows > 4:
		tileBF16x8x16AVX512BF16(t)
	case panels == 3:
		tileBF16x4x48AVX512BF16(t)
	case panels == 2:
		tileBF16x4x32AVX512BF16(t)
	default:
		tileBF16x4x16AVX512BF16(t)
	}
}

func runTileBF16AVX512(t *tileBF16, rows, panels int) {
	switch {
	case rows > 4 && panels == 3:
		tileBF16x8x48AVX512(t)
	case rows > 4 && panels == 2:
		tileBF16x8x32AVX512(t)
	case rows > 4:
		tileBF16x8x16AVX512(t)
	case panels == 3:
		tileBF16x4x48AVX512(t)
	case panels == 2:
		tileBF16x4x32AVX512(t)
	default:
		tileBF16x4x16AVX512(t)
	}
}

//go:noescape
func tileBF16x8x48AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x8x32AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x8x16AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x4x48AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x4x32AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x4x16AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x8x48AVX512(t *tileBF16)

//go:noescape
func tileBF16x8x32AVX512(t *tileBF16)

//go:noescape
func tileBF16x8x16AVX512(t *tileBF16)

//go:noescape
func tileBF16x4x48AVX512(t *tileBF16)

//go:noescape
func tileBF16x4x32AVX512(t *tileBF16)

//go:noescape
func tileBF16x4x16AVX512(t *tileBF16)

//go:noescape
func tileBF16x4x16AVX2(t *tileBF16)
