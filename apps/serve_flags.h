// The flags of quire serve.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/model_flags.h"
#include "server/http_server.h"

namespace quire {

struct ServeFlags : ModelFlags {
  HttpOptions http;
  ServiceOptions service;
  std::vector<std::string> served_names;
  std::string config;  // read before the flags are, see config_file.h
  std::string api_key_file;
  std::string generation_config = "auto";
  std::string scheduling_policy = "fcfs";
  std::int64_t max_logprobs = 20, max_answers = 128;
  bool trusts_special_tokens = false;
  bool no_stats = false;
  bool measures_ceilings = false;
};

void add_serve_flags(CLI::App& command, ServeFlags& flags);

// What follows from several flags together: keys from the file, hosts that loopback allows. Throws
// Error{kNotFound, kInvalidArgument}.
void complete(ServeFlags& flags);

// The name of a folder as a model's name: without control characters, since it is written into logs and
// answers.
std::string printable(std::string name);

// The defaults of requests: what the model's authors say, unless --generation-config is none.
SamplingParams request_defaults(const ServeFlags& flags, const GenerationDefaults& defaults);

}  // namespace quire
