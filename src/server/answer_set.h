// The engine's requests behind one call: one for each prompt and each of its n answers. Outputs arrive on the
// engine's thread and wait here, merged, until the connection takes them; so a client that reads slowly gets
// larger pieces, and the engine never waits.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "server/http_message.h"
#include "server/metrics.h"
#include "server/prepared_call.h"

namespace quire {

struct AnswerPiece {
  std::size_t answer_idx = 0;
  RequestOutput output;  // all that came since the last piece of this answer
};

// Adds what came next of an answer to what came before.
void merge(RequestOutput& into, const RequestOutput& next);

struct AnswerSetOptions {
  bool wakes_often = true;            // at each output; else at the first and when an answer ends
  std::size_t max_pending_bytes = 0;  // of text not taken yet; 0: no bound
};

class AnswerSet {
 public:
  // Submits everything or nothing. `metrics` outlives the engine. Throws Error as Engine::submit does.
  AnswerSet(const ServedModel& model, const PreparedCall& call, const AnswerSetOptions& options,
            Metrics& metrics, Waker wake);
  ~AnswerSet();  // cancels
  AnswerSet(const AnswerSet&) = delete;
  AnswerSet& operator=(const AnswerSet&) = delete;

  std::vector<AnswerPiece> take();
  bool has_overflowed() const;  // more than max_pending_bytes waited
  bool has_begun() const;       // the engine computes some answer, or has
  bool has_started() const;     // some answer has a token
  bool has_failed() const;      // there was no memory for an output: the answers are not whole
  void cancel();                // every answer then ends with kAbort

 private:
  struct Inbox;
  std::shared_ptr<Inbox> inbox_;
  std::vector<RequestStream> streams_;
};

}  // namespace quire
