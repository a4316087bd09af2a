//go:build amxemu

#include "tiles.h"
#include <math.h>
#include <string.h>

// The field pp of a VEX prefix.
enum { pp_none, pp_66, pp_f3, pp_f2 };

struct instruction {
	int pp, opcode, vvvv, mod, reg, rm;
	int length;
	int sib;         // the operand has a SIB byte
	uint64_t address; // of the memory operand, without its index register
	uint64_t index;   // the index register times its scale
};

static int fail(const char **fault, const char *why) {
	*fault = why;
	return 0;
}

// decode reads VEX.128.0F38.W0 with an opcode of tiles: 0 if it is anything else.
static int decode(const uint8_t *p, const registers r, struct instruction *i) {
	if (p[0] != 0xC4 || (p[1] & 0x1F) != 2 || (p[2] & 0x84) != 0) return 0;
	int R = !(p[1] & 0x80), X = !(p[1] & 0x40), B = !(p[1] & 0x20);
	*i = (struct instruction){
		.pp = p[2] & 3, .vvvv = (~p[2] >> 3) & 15, .opcode = p[3],
		.mod = p[4] >> 6, .reg = (p[4] >> 3 & 7) | R << 3, .rm = (p[4] & 7) | B << 3, .length = 5,
	};
	if (i->opcode != 0x49 && i->opcode != 0x4B && i->opcode != 0x5C && i->opcode != 0x5E) return 0;
	if (i->mod == 3) return 1;
	p += 5;
	int no_base = i->mod == 0 && (i->rm & 7) == 5;
	if ((i->rm & 7) == 4) {
		int base = (*p & 7) | B << 3, index = (*p >> 3 & 7) | X << 3;
		i->sib = 1;
		if (index != 4) i->index = r[index] << (*p >> 6);
		no_base = i->mod == 0 && (base & 7) == 5;
		if (!no_base) i->address = r[base];
		p++, i->length++;
	} else if (no_base) {
		return 0; // relative to the instruction: no generator writes that
	} else {
		i->address = r[i->rm];
	}
	if (i->mod == 1) {
		i->address += (int64_t)(int8_t)*p;
		i->length++;
	} else if (i->mod == 2 || no_base) {
		int32_t d;
		memcpy(&d, p, 4);
		i->address += (int64_t)d;
		i->length += 4;
	}
	return 1;
}

static int configured(const struct tiles *s, int t) {
	return s->palette == 1 && t < 8 && s->rows[t] != 0 && s->colsb[t] != 0;
}

static int load_configuration(struct tiles *s, const uint8_t *c, const char **fault) {
	if (c[0] == 0) {
		memset(s, 0, sizeof *s);
		return 1;
	}
	if (c[0] != 1) return fail(fault, "LDTILECFG: unknown palette");
	for (int i = 2; i < 64; i++)
		if ((i < 16 || (i >= 32 && i < 48) || i >= 56) && c[i] != 0)
			return fail(fault, "LDTILECFG: a reserved byte is not 0");
	for (int t = 0; t < 8; t++) {
		int colsb = c[16 + 2 * t] | c[17 + 2 * t] << 8, rows = c[48 + t];
		if (colsb > 64) return fail(fault, "LDTILECFG: more than 64 bytes in a row");
		if (rows > 16) return fail(fault, "LDTILECFG: more than 16 rows");
		if ((colsb == 0) != (rows == 0)) return fail(fault, "LDTILECFG: rows without columns or columns without rows");
	}
	memset(s, 0, sizeof *s);
	s->palette = 1, s->start_row = c[1];
	for (int t = 0; t < 8; t++) s->colsb[t] = c[16 + 2 * t] | c[17 + 2 * t] << 8, s->rows[t] = c[48 + t];
	return 1;
}

static void store_configuration(const struct tiles *s, uint8_t *c) {
	memset(c, 0, 64);
	c[0] = s->palette, c[1] = s->start_row;
	for (int t = 0; t < 8; t++) c[16 + 2 * t] = s->colsb[t], c[17 + 2 * t] = s->colsb[t] >> 8, c[48 + t] = s->rows[t];
}

static uint32_t dot4(int pp, const uint8_t *a, const uint8_t *b) {
	uint32_t sum = 0;
	for (int i = 0; i < 4; i++) {
		int x = pp == pp_f2 || pp == pp_f3 ? (int8_t)a[i] : a[i];
		int y = pp == pp_f2 || pp == pp_66 ? (int8_t)b[i] : b[i];
		sum += (uint32_t)(x * y);
	}
	return sum;
}

// Denormals count as zero, and what would become one is zero.
static float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static float bfloat(const uint8_t *p) {
	uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
	float f;
	memcpy(&f, &bits, 4);
	return flush(f);
}

static int multiply(struct tiles *s, const struct instruction *i, const char **fault) {
	int d = i->reg, a = i->rm, b = i->vvvv;
	if (!configured(s, d) || !configured(s, a) || !configured(s, b)) return fail(fault, "product: a tile is not configured");
	if (d == a || d == b || a == b) return fail(fault, "product: two of the tiles are the same");
	if (s->colsb[a] % 4 || s->colsb[b] % 4 || s->colsb[d] % 4) return fail(fault, "product: bytes of a row are no multiple of 4");
	if (s->rows[a] != s->rows[d]) return fail(fault, "product: sum and first factor differ in rows");
	if (s->colsb[b] != s->colsb[d]) return fail(fault, "product: sum and second factor differ in columns");
	if (s->colsb[a] != 4 * s->rows[b]) return fail(fault, "product: columns of the first factor are not rows of the second");
	for (int m = 0; m < s->rows[d]; m++) {
		for (int n = 0; n < s->colsb[d]; n += 4) {
			uint8_t *to = &s->t[d][m][n];
			if (i->opcode == 0x5E) {
				uint32_t sum;
				memcpy(&sum, to, 4);
				for (int k = 0; k < s->rows[b]; k++) sum += dot4(i->pp, &s->t[a][m][4 * k], &s->t[b][k][n]);
				memcpy(to, &sum, 4);
				continue;
			}
			float even = 0, odd = 0, sum;
			memcpy(&sum, to, 4);
			for (int k = 0; k < s->rows[b]; k++) {
				const uint8_t *x = &s->t[a][m][4 * k], *y = &s->t[b][k][n];
				even = flush(fmaf(bfloat(x), bfloat(y), even));
				odd = flush(fmaf(bfloat(x + 2), bfloat(y + 2), odd));
			}
			sum = flush(flush(sum) + flush(even + odd));
			memcpy(to, &sum, 4);
		}
	}
	return 1;
}

// move loads or stores a tile row by row.
static int move(struct tiles *s, const struct instruction *i, const char **fault) {
	if (i->pp == pp_none) return fail(fault, "unknown instruction of opcode 4B");
	if (i->mod == 3 || !i->sib || i->vvvv != 0) return fail(fault, "load or store: no operand with an index register");
	if (!configured(s, i->reg)) return fail(fault, "load or store: the tile is not configured");
	if (s->start_row != 0) return fail(fault, "load or store: the start row is not 0"); // no kernel restarts
	if (i->pp != pp_f3) memset(s->t[i->reg], 0, sizeof s->t[i->reg]);
	for (int m = 0; m < s->rows[i->reg]; m++) {
		void *memory = (void *)(i->address + (uint64_t)m * i->index), *row = s->t[i->reg][m];
		if (i->pp == pp_f3) memcpy(memory, row, s->colsb[i->reg]);
		else memcpy(row, memory, s->colsb[i->reg]);
	}
	return 1;
}

static int configure(struct tiles *s, const struct instruction *i, const char **fault) {
	if (i->vvvv != 0) return fail(fault, "VEX.vvvv is not 1111");
	if (i->mod == 3 && i->pp == pp_none && i->reg == 0 && i->rm == 0) { // TILERELEASE
		memset(s, 0, sizeof *s);
		return 1;
	}
	if (i->mod == 3 && i->pp == pp_f2 && i->rm == 0) { // TILEZERO
		if (!configured(s, i->reg)) return fail(fault, "TILEZERO: the tile is not configured");
		memset(s->t[i->reg], 0, sizeof s->t[i->reg]);
		return 1;
	}
	if (i->mod != 3 && i->reg == 0 && i->pp == pp_none) return load_configuration(s, (const uint8_t *)(i->address + i->index), fault);
	if (i->mod != 3 && i->reg == 0 && i->pp == pp_66) {
		store_configuration(s, (uint8_t *)(i->address + i->index));
		return 1;
	}
	return fail(fault, "unknown instruction of opcode 49");
}

int execute(struct tiles *s, const uint8_t *code, const registers r, uint64_t *products, const char **fault) {
	struct instruction i;
	int ok = 0;
	if (!decode(code, r, &i)) return 0;
	if (i.opcode == 0x49) {
		ok = configure(s, &i, fault);
	} else if (i.opcode == 0x4B) {
		ok = move(s, &i, fault);
	} else if (i.mod != 3 || (i.opcode == 0x5C && i.pp != pp_f3)) {
		ok = fail(fault, "unknown product");
	} else if ((ok = multiply(s, &i, fault))) {
		++*products;
	}
	return ok ? i.length : 0;
}
