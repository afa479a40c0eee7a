#include "measure/candidate_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/stable_sort.h"

namespace quire {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

using Times = std::vector<std::vector<double>>;  // [candidate][batch] us

// False if time was over before it was done.
bool measure_round(const SearchOptions& options, const std::vector<int>& left, int num_samples,
                   Times& times) {
  for (int sample = 0; sample < num_samples; ++sample) {
    for (int batch = 0; batch < options.num_batches; ++batch) {
      for (std::size_t i = 0; i < left.size(); ++i) {
        if (options.is_over()) return false;
        const int candidate =
            left[sample % 2 == 0 ? i : left.size() - 1 - i];  // neither direction favours anyone
        const double us = options.sample_us(candidate, batch);
        QUIRE_CHECK_KIND(kInternal, us > 0, "candidate {} took {} us for batch {}", candidate, us, batch);
        double& best = times[static_cast<std::size_t>(candidate)][static_cast<std::size_t>(batch)];
        best = std::min(best, us);
      }
    }
  }
  return true;
}

double score_of(const std::vector<double>& times, const std::vector<double>& first) {
  double sum = 0;
  for (std::size_t batch = 0; batch < times.size(); ++batch) sum += std::log(times[batch] / first[batch]);
  return std::exp(sum / static_cast<double>(times.size()));
}

}  // namespace

SearchResult search_candidates(const SearchOptions& options) {
  QUIRE_CHECK(options.num_candidates >= 1 && options.num_batches >= 1,
              "a search among {} candidates with {} batches", options.num_candidates, options.num_batches);
  const auto num_candidates = static_cast<std::size_t>(options.num_candidates),
             num_batches = static_cast<std::size_t>(options.num_batches);
  SearchResult result;
  result.candidates.resize(num_candidates);
  for (SearchedCandidate& c : result.candidates) {
    c.time_us.assign(num_batches, kNever);
    c.score = kNever;
  }
  std::vector<int> left(num_candidates);
  for (std::size_t i = 0; i < num_candidates; ++i) left[i] = static_cast<int>(i);
  std::vector<int> ranking;  // of the last complete round
  const auto score = [&](int i) { return result.candidates[static_cast<std::size_t>(i)].score; };
  int num_samples = options.first_samples;
  for (int round = 1;; ++round) {
    const bool is_last = static_cast<int>(left.size()) <= options.num_finalists + 1;
    options.report(round, static_cast<int>(left.size()));
    Times times(num_candidates, std::vector<double>(num_batches, kNever));
    if (!measure_round(options, left, num_samples, times)) break;
    for (const int i : left) {
      const auto at = static_cast<std::size_t>(i);
      result.candidates[at] = {times[at], score_of(times[at], times[0]), round};
    }
    ranking.assign(left.begin() + 1, left.end());
    sort_stably(ranking, [&](int a, int b) { return score(a) < score(b); });
    if (is_last) break;
    const auto num_kept =
        std::max<std::size_t>(static_cast<std::size_t>(options.num_finalists), (ranking.size() + 1) / 2);
    left.assign(1, 0);
    left.insert(left.end(), ranking.begin(),
                ranking.begin() + static_cast<std::ptrdiff_t>(std::min(num_kept, ranking.size())));
    num_samples = std::min(2 * num_samples, options.max_samples);
  }
  for (const int i : ranking) {
    if (score(i) < 1 - options.least_gain) result.ranking.push_back(i);
  }
  result.ranking.push_back(0);
  return result;
}

}  // namespace quire
