// Runs one stage of a load test: an open loop, whose requests come when they are due whatever the server
// does, or a closed loop of clients that each wait for their answer. One thread, any number of connections.
#pragma once

#include <functional>

#include "load/load_target.h"
#include "load/workload.h"

namespace quire {

struct LoadStage {
  int index = 0;                       // number of the stage: chooses its texts
  std::vector<double> arrivals_s;      // open loop: when conversations begin; empty for a closed loop
  int num_clients = 0;                 // closed loop
  std::int64_t num_conversations = 0;  // to begin at most
  double duration_s = 0;               // none begins later than that; 0: no limit
};

struct LoadHooks {
  std::function<void(std::int64_t num_done, double elapsed_s)> on_progress = {};  // a few times a second
  std::function<bool()> should_stop = {};  // asked as often: leaves what is in flight
};

// A record for each request that ended, in the order of their ends. A conversation's next turn is due when
// the turn before has ended; a conversation of which a turn failed ends. A client of a closed loop whose
// request failed waits for what Retry-After says (at most 5 s) or 0.1 s.
std::vector<LoadRecord> run_stage(const LoadTarget& target, const Workload& workload, const LoadStage& stage,
                                  const LoadHooks& hooks = {});

// Two requests of known numbers of words, and what the server's usage says of them. A server without usage
// has the cost 1 a word. Throws Error{kExhausted} with the server's words if it does not answer.
WordCost measure_word_cost(const LoadTarget& target, std::uint64_t seed);

}  // namespace quire
