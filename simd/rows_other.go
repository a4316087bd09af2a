//go:build !amd64 || noasm

package simd

func dotRowsF32(dst, q, rows []float32) { dotRowsF32Singly(dst, q, rows) }

func l2RowsF32(dst, q, rows []float32) { l2RowsF32Singly(dst, q, rows) }

func dotRowsF16(dst, q []float32, rows []Float16) { dotRowsF16Singly(dst, q, rows) }

func dotRowsI8(dst []int32, q, rows []int8) { dotRowsI8Singly(dst, q, rows) }
