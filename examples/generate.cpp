// A model goes on with a text: tokens as they come, and errors as words.
//   generate [MODEL_FOLDER [TEXT]]
#include <iostream>

#include "quire/quire.h"

int main(int argc, char** argv) try {
  quire::ModelOptions options;
  options.engine.kv_cache_bytes = 64 << 20;
  quire::Model model = quire::Model::open(argc > 1 ? argv[1] : "models/demo", options);
  const quire::ModelInfo& info = model.info();
  std::cerr << info.architecture << " on " << info.device << ", quire " << quire::build_text() << '\n';
  quire::SamplingParams params;
  params.temperature = 0;
  params.max_tokens = 32;
  quire::RequestStream stream = model.complete(argc > 2 ? argv[2] : "Bob has the lamp.", params);
  while (auto output = stream.next()) std::cout << output->text << std::flush;
  std::cout << '\n';
} catch (const quire::Error& e) {
  std::cerr << quire::to_string(e.kind()) << ": " << e.what() << '\n';
  return 1;
}
