// The two loads of a pipeline's work item.
#pragma once

namespace quire {

// operand() starts loading the left operand that every tile is multiplied with; tile(stage, i) starts loading
// tile i into a stage. Where a chip has producer warps they run both, ahead of the warps that compute.
template <class OperandLoad, class TileLoad>
struct PipelineLoads {
  OperandLoad operand;
  TileLoad tile;
};
template <class OperandLoad, class TileLoad>
PipelineLoads(OperandLoad, TileLoad) -> PipelineLoads<OperandLoad, TileLoad>;

}  // namespace quire
