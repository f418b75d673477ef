#include "CTOML.h"

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

static char *copy(const std::string &text) {
  char *result = static_cast<char *>(std::malloc(text.size() + 1));
  if (result) std::memcpy(result, text.c_str(), text.size() + 1);
  return result;
}

extern "C" int ctoml_to_json(const char *text, size_t length, char **output, unsigned *line, unsigned *column) {
  *line = 0;
  *column = 0;
  try {
    toml::table table = toml::parse(std::string_view(text, length));
    std::ostringstream stream;
    stream << toml::json_formatter{table};
    *output = copy(stream.str());
    return 0;
  } catch (const toml::parse_error &error) {
    *line = error.source().begin.line;
    *column = error.source().begin.column;
    *output = copy(std::string(error.description()));
    return 1;
  } catch (const std::exception &error) {
    *output = copy(error.what());
    return 1;
  }
}
