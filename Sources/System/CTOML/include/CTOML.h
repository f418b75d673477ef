#pragma once
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/// Parses a TOML document and renders it as JSON.
/// Returns 0 and a malloc'ed NUL-terminated JSON text in `*output`, or 1 and a malloc'ed message in
/// `*output` with the place of the fault in `*line` and `*column`. The caller frees `*output`.
int ctoml_to_json(const char *text, size_t length, char **output, unsigned *line, unsigned *column);

#ifdef __cplusplus
}
#endif
