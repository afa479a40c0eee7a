// Which of several candidates is fastest over several batches, by few measurements: successive halving
// (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016).
// Pure: what a measurement is, the caller says.
#pragma once

#include <functional>
#include <vector>

namespace quire {

struct SearchOptions {
  int num_candidates = 1;  // number 0 stays to the end, whatever it measures
  int num_batches = 1;
  int first_samples = 2;  // of each candidate and batch in the first round; twice as many in each further one
  int max_samples = 16;   // of a round
  int num_finalists = 4;  // at most so many, and number 0, are left for the last round
  double least_gain = 0.01;  // by which a candidate must beat number 0: less could be noise
  std::function<double(int candidate, int batch)> sample_us;  // one measurement, above 0
  std::function<bool()> is_over = [] { return false; };       // no more time: what is known decides
  std::function<void(int round, int num_left)> report = [](int, int) {};
};

struct SearchedCandidate {
  std::vector<double>
      time_us;         // by batch: the best of the last round that it was in; infinite if it was not measured
  double score = 0;    // geometric mean over the batches of its time over that of number 0; infinite likewise
  int num_rounds = 0;  // that it was in; 0 = time was over before
};

struct SearchResult {
  std::vector<SearchedCandidate> candidates;
  std::vector<int> ranking;  // those of the last complete round that may win, best first; number 0 ends it
};

// Rounds of measurements in which candidates take turns, so that what the machine does meanwhile meets all
// alike; after each the slower half is dropped. The last round counts alone: the best of many is too good by
// chance. Throws what sample_us throws.
SearchResult search_candidates(const SearchOptions& options);

}  // namespace quire
