package bert

import (
	"context"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// The tiles that one call of gonum's Sgemm gets. Small ones it computes on the caller's goroutine
// without allocating (it spawns goroutines from four blocks of 64x64 on); these also fit the second
// level cache and bound the time between two looks at ctx.
const (
	rowTile    = 16
	columnTile = 64
)

// gemm computes c = alpha a b^T + beta c.
//
// Shape:  a (m, k), b (n, k), c (m, n), rows lda, ldb and ldc apart.
// Errors: ctx.Err(), asked before each tile; c is then undefined.
// Cost:   no allocation.
func gemm(ctx context.Context, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) error {
	var impl gonum.Implementation
	for j := 0; j < n; j += columnTile {
		columns := min(columnTile, n-j)
		for i := 0; i < m; i += rowTile {
			if err := ctx.Err(); err != nil {
				return err
			}
			impl.Sgemm(blas.NoTrans, blas.Trans, min(rowTile, m-i), columns, k, alpha, a[i*lda:], lda, b[j*ldb:], ldb, beta, c[i*ldc+j:], ldc)
		}
	}
	return nil
}

// apply computes y (tokens, out) from x (tokens, in).
func (l *linear) apply(ctx context.Context, x, y []float32, tokens int) error {
	for i := 0; i < len(y); i += l.out {
		copy(y[i:i+l.out], l.bias)
	}
	return gemm(ctx, tokens, l.out, l.in, 1, x, l.in, l.weight, l.in, 1, y, l.out)
}

// applyTransposed computes y (out, tokens), rows stride apart, from x (tokens, in).
func (l *linear) applyTransposed(ctx context.Context, x, y []float32, tokens, stride int) error {
	for i, b := range l.bias {
		row := y[i*stride:][:tokens]
		for j := range row {
			row[j] = b
		}
	}
	return gemm(ctx, l.out, tokens, l.in, 1, l.weight, l.in, x, l.in, 1, y, stride)
}
