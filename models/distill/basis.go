package distill

import (
	"context"
	"errors"

	"gonum.org/v1/gonum/mat"
)

// columnMeans is the mean of each column of x, (n, width).
func columnMeans(x []float32, width int) []float64 {
	mean := make([]float64, width)
	n := len(x) / width
	for i := range n {
		for j, v := range x[i*width : (i+1)*width] {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(n)
	}
	return mean
}

// centre subtracts mean from every row of x.
func centre(x []float32, mean []float64) {
	width := len(mean)
	for i := range len(x) / width {
		row := x[i*width : (i+1)*width]
		for j := range row {
			row[j] -= float32(mean[j])
		}
	}
}

// blockRows bounds the float64 copies that gonum needs of float32 data.
const blockRows = 4096

// principal returns the dim directions along which the rows of x, (n, width) and centred, vary most,
// as the columns of a (width, dim) matrix.
func principal(ctx context.Context, x []float32, width, dim int, progress func(done, total int)) (*mat.Dense, error) {
	n := len(x) / width
	covariance := mat.NewSymDense(width, nil)
	for start := 0; start < n; start += blockRows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress(start, n)
		end := min(start+blockRows, n)
		covariance.SymRankK(covariance, 1, toDense(x[start*width:end*width], width).T())
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(covariance, true) {
		return nil, errors.New("distill: the eigenvectors of the encoder's vectors did not converge")
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	basis := mat.NewDense(width, dim, nil)
	for j := range dim {
		// gonum sorts by ascending eigenvalue
		basis.SetCol(j, mat.Col(nil, width-1-j, &vectors))
	}
	progress(n, n)
	return basis, nil
}

// project maps the rows of x, (n, width), to the (n, dim) coordinates in basis, (width, dim).
func project(x []float32, basis *mat.Dense) []float32 {
	width, dim := basis.Dims()
	n := len(x) / width
	out := make([]float32, n*dim)
	for start := 0; start < n; start += blockRows {
		end := min(start+blockRows, n)
		var p mat.Dense
		p.Mul(toDense(x[start*width:end*width], width), basis)
		for i := range end - start {
			for j, v := range p.RawRowView(i) {
				out[(start+i)*dim+j] = float32(v)
			}
		}
	}
	return out
}

func toDense(x []float32, width int) *mat.Dense {
	data := make([]float64, len(x))
	for i, v := range x {
		data[i] = float64(v)
	}
	return mat.NewDense(len(x)/width, width, data)
}
