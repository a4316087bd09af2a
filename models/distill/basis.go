package distill

import (
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

// principal returns the dim directions along which the centred rows of x, (n, width), vary most, as
// the columns of a (width, dim) matrix.
func principal(x []float32, width, dim int) (*mat.Dense, error) {
	covariance := mat.NewSymDense(width, nil)
	rows := toDense(x, width)
	covariance.SymOuterK(1, rows.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(covariance, true) {
		return nil, errors.New("the eigenvectors of the teacher's vectors did not converge")
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	basis := mat.NewDense(width, dim, nil)
	for j := range dim {
		// gonum sorts eigenvalues ascending
		basis.SetCol(j, mat.Col(nil, width-1-j, &vectors))
	}
	return basis, nil
}

// project maps the rows of x, (n, width), to the (n, dim) coordinates in basis, (width, dim).
func project(x []float32, basis *mat.Dense) []float32 {
	width, dim := basis.Dims()
	n := len(x) / width
	out := make([]float32, n*dim)
	// in blocks, so that the float64 copies stay small beside the float32 data
	const block = 4096
	for start := 0; start < n; start += block {
		end := min(start+block, n)
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
