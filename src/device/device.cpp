#include "device/device.h"

#include <chrono>

namespace quire {
namespace {

class FunctionGraph : public Graph {
 public:
  explicit FunctionGraph(std::function<void()> launches) : launches_(std::move(launches)) {}
  void launch() override { launches_(); }

 private:
  std::function<void()> launches_;
};

}  // namespace

std::unique_ptr<Graph> Device::capture(const std::function<void()>& launches) {
  return std::make_unique<FunctionGraph>(launches);
}

double Device::time_us(const std::function<void()>& work) {
  synchronize();
  const auto start = std::chrono::steady_clock::now();
  work();
  synchronize();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void Device::prepare(const std::function<void()>&) {}

DeviceCaps Device::attention_caps(DType, int, int) const { return caps(); }

}  // namespace quire
