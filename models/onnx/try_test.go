package onnx
import ("testing";"os";"path/filepath";"time")
func TestTry(t *testing.T) {
	files, _ := filepath.Glob(os.Getenv("TRY"))
	for _, f := range files {
		start := time.Now()
		m, err := Open(f)
		if err != nil { t.Errorf("%v", err); continue }
		t.Log(filepath.Base(f), m.Config(), m.Pooling(), m.Normalize(), time.Since(start))
		m.Close()
	}
}
