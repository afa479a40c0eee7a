#include "apps/config_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "apps/command.h"
#include "base/error.h"

namespace quire {
namespace {

using Flags = std::vector<std::pair<std::string, std::string>>;
using Args = std::vector<std::string>;

TEST(ConfigFile, FlatYaml) {
  const char* text = R"(--- 
# a comment
port: 8080   # behind a value
max_num_seqs: 4
api-key: "a # b"
served-model-name: [one, 'two']
allowed-origins:
  - https://a.example
  - "https://b.example"
metrics-compat: true
)";
  EXPECT_EQ(parse_config(text, "f"), (Flags{{"port", "8080"},
                                            {"max-num-seqs", "4"},
                                            {"api-key", "a # b"},
                                            {"served-model-name", "one"},
                                            {"served-model-name", "two"},
                                            {"allowed-origins", "https://a.example"},
                                            {"allowed-origins", "https://b.example"},
                                            {"metrics-compat", "true"}}));
  for (const char* bad : {"port", "port:8080", ": x", "- x", "a: 1\n  b: 2", "{a: 1}"}) {
    EXPECT_THROW(parse_config(bad, "f"), Error) << bad;
  }
}

class ConfigArgs : public testing::Test {
 protected:
  void SetUp() override {
    CLI::App& serve = *app.add_subcommand("serve");
    with_env(serve.add_option("--config", config));
    with_env(serve.add_option("--test-port", port));
    with_env(serve.add_option("--test-name", names));
    with_env(serve.add_flag("--test-loud", loud));
    app.add_subcommand("run");
    path = testing::TempDir() + "quire_config_test.yaml";
    std::ofstream(path) << "test-port: 1\ntest-name: [a, b]\ntest-loud: true\n";
  }
  void TearDown() override { unsetenv("QUIRE_TEST_PORT"); }

  CLI::App app;
  std::string config, path;
  int port = 0;
  std::vector<std::string> names;
  bool loud = false;
};

TEST_F(ConfigArgs, TheFileComesLast) {
  EXPECT_EQ(with_config_file(app, {"serve", "--config", path}),
            (Args{"serve", "--config", path, "--test-port", "1", "--test-name", "a", "--test-name", "b",
                  "--test-loud"}));
  EXPECT_EQ(with_config_file(
                app, {"serve", "--config=" + path, "--test-port=7", "--test-name", "x", "--test-loud"}),
            (Args{"serve", "--config=" + path, "--test-port=7", "--test-name", "x", "--test-loud"}));
  setenv("QUIRE_TEST_PORT", "5", 1);
  EXPECT_EQ(with_config_file(app, {"serve", "--config", path, "--test-name", "x", "--test-loud"}).size(), 6u);
  EXPECT_EQ(with_config_file(app, {"run", "--config", path}), (Args{"run", "--config", path}));
  EXPECT_EQ(with_config_file(app, {"serve"}), (Args{"serve"}));
}

TEST_F(ConfigArgs, WrongFilesAreRefused) {
  EXPECT_THROW(with_config_file(app, {"serve", "--config", "/nothing/here"}), Error);
  EXPECT_THROW(with_config_file(app, {"serve", "--config", "/dev/zero"}), Error);
  EXPECT_THROW(with_config_file(app, {"serve", "--config", "/"}), Error) << "no folder";
  std::ofstream(path) << "no-such-flag: 1\n";
  EXPECT_THROW(with_config_file(app, {"serve", "--config", path}), Error);
  std::ofstream(path) << "test-loud: maybe\n";
  EXPECT_THROW(with_config_file(app, {"serve", "--config", path}), Error);
}

}  // namespace
}  // namespace quire
