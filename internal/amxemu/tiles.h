// Tile state of one thread and the instructions on it.

#include <stddef.h>
#include <stdint.h>

struct tiles {
	uint8_t palette, start_row; // palette 0: not configured
	uint16_t colsb[8];          // bytes of a row
	uint8_t rows[8];
	uint8_t t[8][16][64];
};

// The general registers, numbered as instructions number them.
typedef uint64_t registers[16];

// execute runs the instruction at code and returns its length. If it is no tile instruction it returns
// 0 and leaves *fault alone. If real tiles would fault it returns 0 and *fault says why. *products
// counts matrix products.
int execute(struct tiles *s, const uint8_t *code, const registers r, uint64_t *products, const char **fault);
