//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func gemmBF16(dst []float32, a, w []BFloat16, m, n, k int) {
	switch gemmBF16Code.Level() {
	case cpu.AMX:
		gemmBF16AMX(dst, a, w, m, n, k)
	case cpu.AVX512:
		gemmBF16AVX512(dst, a, w, m, n, k)
	default:
		gemmBF16Generic(dst, a, w, m, n, k)
	}
}

// The tile of the AVX-512 version, in rows and in panels of columns.
const (
	tileRowsBF16   = 8
	tilePanelsBF16 = 3
)

// tileBF16 is what the assembly of a tile gets: fields of eight bytes, read in this order by the generator.
type tileBF16 struct {
	a        *BFloat16 // first row; the others follow in its step
	w        *BFloat16 // first panel
	wStep    int       // bytes from one panel to the next
	sums     *float32
	sumsStep int // bytes from one row to the next
	steps    int // at least 1
}

// gemmBF16AVX512 computes the product tile by tile. Whole tiles go to dst directly, others by way of scratch.
func gemmBF16AVX512(dst []float32, a, w []BFloat16, m, n, k int) {
	steps := roundUp(k, stepBF16) / stepBF16
	block := steps * stepSizeBF16
	var scratch [tileRowsBF16 * tilePanelsBF16 * panelColumns]float32
	for j := 0; j < n; j += tilePanelsBF16 * panelColumns {
		panels := min(tilePanelsBF16, (n-j+panelColumns-1)/panelColumns)
		columns := min(panels*panelColumns, n-j)
		for i := 0; i < m; i += tileRowsBF16 {
			rows := min(tileRowsBF16, m-i)
			t := tileBF16{
				a: &a[i/blockRowsBF16*block+i%blockRowsBF16*stepBF16],
				w: &w[j/panelColumns*block], wStep: 2 * block,
				sums: &scratch[0], sumsStep: 4 * tilePanelsBF16 * panelColumns, steps: steps,
			}
			whole := rows == tileRowsBF16 && columns == panels*panelColumns
			if whole {
				t.sums, t.sumsStep = &dst[i*n+j], 4*n
			}
			runTileBF16(&t, panels)
			if !whole {
				for r := range rows {
					copy(dst[(i+r)*n+j:][:columns], scratch[r*tilePanelsBF16*panelColumns:])
				}
			}
		}
	}
}

func runTileBF16(t *tileBF16, panels int) {
	switch panels {
	case 3:
		tileBF16x8x48AVX512BF16(t)
	case 2:
		tileBF16x8x32AVX512BF16(t)
	default:
		tileBF16x8x16AVX512BF16(t)
	}
}

//go:noescape
func tileBF16x8x48AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x8x32AVX512BF16(t *tileBF16)

//go:noescape
func tileBF16x8x16AVX512BF16(t *tileBF16)
