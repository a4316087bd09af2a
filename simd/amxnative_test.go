//go:build amd64 && !noasm && !(amxemu && linux)

package simd

const emulated = false

func productsOfTiles() uint64 { return 0 }
