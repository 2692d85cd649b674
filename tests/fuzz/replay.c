/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each file named to the fuzz target that this is linked with. */
#include "envdriver/base/buf.h"
#include "fuzz.h"

int
main(int argc, char **argv)
{
	MUST(argc > 1);
	for (int i = 1; i < argc; i++) {
		struct buf bytes = BUF_INIT;
		char piece[4096];
		FILE *file = fopen(argv[i], "rb");
		size_t n;

		MUST(file);
		while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
			buf_add(&bytes, piece, n);
		MUST(!ferror(file) && !bytes.failed);
		fclose(file);
		/* Exactly its size, so that a read past its end shows. */
		uint8_t *exact = malloc(bytes.len ? bytes.len : 1);

		MUST(exact);
		memcpy(exact, buf_span(&bytes).ptr, bytes.len);
		LLVMFuzzerTestOneInput(exact, bytes.len);
		free(exact);
		buf_release(&bytes);
	}
	printf("%d inputs\n", argc - 1);
	return 0;
}
