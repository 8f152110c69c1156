// make_completions DIRECTORY: writes the completions for bash and zsh there, when the program is
// built.

#include <cstdio>
#include <fstream>
#include <string>

#include "src/cli/completion.h"

namespace {

bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text << std::flush;
  return file.good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  if (Write(directory + "/memfuse", memfuse::cli::BashCompletion()) &&
      Write(directory + "/_memfuse", memfuse::cli::ZshCompletion()) &&
      Write(directory + "/memfusectl", memfuse::cli::BashControlCompletion()) &&
      Write(directory + "/_memfusectl", memfuse::cli::ZshControlCompletion())) {
    return 0;
  }
  std::perror(directory.c_str());
  return 1;
}
