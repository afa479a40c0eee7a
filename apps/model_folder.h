// The folder of a model that somebody named, or an error that says what would work.
#pragma once

#include <filesystem>
#include <string>

namespace quire {

// `name` if it is a folder with a config.json. Throws Error{kNotFound, kUnsupported} for everything else: a
// model's name on a hub, a single file, another format, a folder with the model somewhere inside, a misspelt
// path.
std::filesystem::path find_model_folder(const std::string& name);

}  // namespace quire
