// What quire tune found: a table for people, a JSON file, a plot of each candidate's time.
#pragma once

#include <string>
#include <vector>

#include "measure/tuner.h"

namespace quire {

// A line for each class: what won, and by how much; and what was refused, with the reason.
std::string tune_table(const std::vector<TuneReport>& reports);

// Times in us, by candidate and batch. Throws Error{kInvalidArgument} if the file cannot be written.
void write_tune_json(const std::string& path, const Chip& chip, const std::vector<TuneReport>& reports);

// A plot for each class: the time of each measured candidate over that of the heuristics, fastest first, for each batch.
void write_tune_plot(const std::string& path, const Chip& chip, const std::vector<TuneReport>& reports);

}  // namespace quire
