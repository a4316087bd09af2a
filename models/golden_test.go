package models_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
)

// int8Golden are CRC-32C of int8 vectors of all-MiniLM-L6-v2, the short texts first. They change with the
// recipe of packing alone; docs/HACKING.md says how to renew them.
var int8Golden = []struct{ text, sum string }{
	{"", "37854baa"},
	{"hello world", "ff13df69"},
	{"The ferry leaves at ten past six.", "c4e4e2ff"},
	{"def area(r): return 3.14159 * r ** 2", "ed5b18ae"},
	{"Пароль не подошёл, попробуйте ещё раз.", "5efcea9d"},
	{"你好，世界。今天天气很好，我们去公园散步吧。", "b65b6525"},
	{strings.Repeat("the ", 100), "76fbd85f"},
	{strings.Repeat("A long text is cut into blocks. ", 60), "013c78db"},
}

// Packing gives the same model on every machine, and the model the same vectors at every level. Run the test
// with MAI_CPU set to a lower level to pack there.
func TestInt8VectorsAreTheCommittedOnes(t *testing.T) {
	testmodel.Slow(t)
	m := open(t, testmodel.MiniLM(t), models.Precision(models.Int8), models.Cache(""))
	for _, level := range cpu.Levels() {
		t.Run(level.String(), func(t *testing.T) {
			defer cpu.Use(level, 0)()
			texts := int8Golden
			if level == cpu.Generic { // plain Go is slow
				texts = texts[:2]
			}
			for _, want := range texts {
				v, _ := embed(t, m, want.text, models.MaxTokens(512))
				data, err := binary.Append(nil, binary.LittleEndian, v)
				if err != nil {
					t.Fatal(err)
				}
				if sum := fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))); sum != want.sum {
					t.Errorf("%.40q: %s, want %s", want.text, sum, want.sum)
				}
			}
		})
	}
}
