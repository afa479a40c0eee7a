// EditTerminal with libedit. Characters are read here, so that Ctrl-C wakes the reader and pasted lines stay
// together.
#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>

#include "apps/console.h"
#include "apps/edit_terminal.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr int kHistorySize = 1000;
constexpr wchar_t kInterruptKey = 3;  // Ctrl-C, as which an interrupt reaches the key map
// Terminals that know bracketed paste put these around what is pasted, once asked to.
constexpr const char *kPasteOn = "\033[?2004h", *kPasteOff = "\033[?2004l";
constexpr std::wstring_view kPasteEnd = L"\033[201~";

// What libedit knows of characters comes from the locale; one of UTF-8 is there even where none is set.
void use_utf8() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

class LibeditTerminal : public EditTerminal {
 public:
  explicit LibeditTerminal(std::string history_file);
  ~LibeditTerminal() override;
  LibeditTerminal(const LibeditTerminal&) = delete;
  LibeditTerminal& operator=(const LibeditTerminal&) = delete;

  Got read(const std::string& prompt, InterruptScope& interrupt, std::string& line) override;
  void remember(const std::string& message) override;

 private:
  static LibeditTerminal& of(EditLine* edit);
  static char* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }
  static int read_char(EditLine* edit, wchar_t* out);
  static unsigned char on_interrupt(EditLine* edit, int key);
  static unsigned char on_newline(EditLine* edit, int key);
  static unsigned char on_paste(EditLine* edit, int key);
  void load_history();

  const std::string history_file_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  InterruptScope* interrupt_ = nullptr;
  bool is_interrupted_ = false;
};

LibeditTerminal& LibeditTerminal::of(EditLine* edit) {
  void* self = nullptr;
  el_get(edit, EL_CLIENTDATA, &self);
  return *static_cast<LibeditTerminal*>(self);
}

LibeditTerminal::LibeditTerminal(std::string history_file) : history_file_(std::move(history_file)) {
  use_utf8();
  history_ = history_init();
  QUIRE_CHECK_KIND(kExhausted, history_ != nullptr, "no memory for the history of messages");
  load_history();
  edit_ = el_init("quire", stdin, stderr, stderr);
  if (edit_ == nullptr) history_end(history_);
  QUIRE_CHECK_KIND(kExhausted, edit_ != nullptr, "the terminal cannot be opened for editing");
  el_set(edit_, EL_CLIENTDATA, this);
  el_set(edit_, EL_EDITOR, "emacs");
  el_set(edit_, EL_HIST, history, history_);
  el_set(edit_, EL_PROMPT_ESC, prompt_of, '\1');
  el_set(edit_, EL_GETCFN, read_char);
  // The wide form keeps these texts as they are; the other copies them, and never gives the copies back.
  el_wset(edit_, EL_ADDFN, L"quire-interrupt", L"Drop the line", on_interrupt);
  el_wset(edit_, EL_ADDFN, L"quire-newline", L"Begin a line of the same message", on_newline);
  el_wset(edit_, EL_ADDFN, L"quire-paste", L"Take what is pasted", on_paste);
  el_set(edit_, EL_BIND, "^C", "quire-interrupt", nullptr);
  el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  for (const char* keys : {"\033\r", "\033\n"}) el_set(edit_, EL_BIND, keys, "quire-newline", nullptr);
  el_set(edit_, EL_BIND, "\033[200~", "quire-paste", nullptr);
}

LibeditTerminal::~LibeditTerminal() {
  HistEvent event;
  if (!history_file_.empty() && ::history(history_, &event, H_SAVE, history_file_.c_str()) < 0)
    log("the history of messages cannot be written to {}", history_file_);
  el_end(edit_);
  history_end(history_);
}

void LibeditTerminal::load_history() {
  HistEvent event;
  ::history(history_, &event, H_SETSIZE, kHistorySize);
  ::history(history_, &event, H_SETUNIQUE, 1);
  std::error_code ignored;
  const auto status = std::filesystem::status(history_file_, ignored);
  if (history_file_.empty() || !std::filesystem::exists(status)) return;
  const bool is_read = std::filesystem::is_regular_file(status) &&
                       (std::filesystem::file_size(history_file_, ignored) == 0 ||
                        ::history(history_, &event, H_LOAD, history_file_.c_str()) >= 0);
  if (!is_read) history_end(history_);
  QUIRE_CHECK_KIND(kNotFound, is_read, "{} cannot be read as a history of messages", history_file_);
}

EditTerminal::Got LibeditTerminal::read(const std::string& prompt, InterruptScope& interrupt,
                                        std::string& line) {
  // libedit takes an escape between two \1 together with the character behind it: the last must not be one.
  const bool is_coloured = paint("x", Color::kBold, 2) != "x";
  prompt_ = is_coloured ? fmt::format("\1\033[1m\1{}\1\033[0m\1 ", prompt) : prompt + ' ';
  interrupt_ = &interrupt;
  is_interrupted_ = false;
  el_set(edit_, EL_PREP_TERM, 1);  // before the prompt: from then on every key is for the editor
  fmt::print(stderr, "{}", kPasteOn);
  el_resize(edit_);
  int num_bytes = 0;
  const char* text = el_gets(edit_, &num_bytes);
  fmt::print(stderr, "{}", kPasteOff);
  if (is_interrupted_) return Got::kInterrupted;
  if (text == nullptr || num_bytes <= 0) return Got::kEnd;
  line.assign(text, static_cast<std::size_t>(num_bytes));
  if (line.ends_with('\n')) line.pop_back();
  return Got::kLine;
}

void LibeditTerminal::remember(const std::string& message) {
  HistEvent event;
  ::history(history_, &event, H_ENTER, message.c_str());
}

// 1 with a character, 0 at the end of the input, -1 for an error.
int LibeditTerminal::read_char(EditLine* edit, wchar_t* out) {
  InterruptScope& interrupt = *of(edit).interrupt_;
  std::mbstate_t state = {};
  for (;;) {
    if (!interrupt.wait_for_input()) {
      interrupt.take();
      *out = kInterruptKey;
      return 1;
    }
    char byte = 0;
    const auto num_bytes = ::read(STDIN_FILENO, &byte, 1);
    if (num_bytes == 0) return 0;
    if (num_bytes < 0 && errno != EINTR && errno != EAGAIN) return -1;
    if (num_bytes < 0) continue;
    const std::size_t used = std::mbrtowc(out, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-2)) continue;  // more of this character is to come
    if (used == static_cast<std::size_t>(-1)) *out = L'\uFFFD';
    return 1;
  }
}

unsigned char LibeditTerminal::on_interrupt(EditLine* edit, int) {
  of(edit).is_interrupted_ = true;
  return CC_EOF;
}

unsigned char LibeditTerminal::on_newline(EditLine* edit, int) {
  return el_winsertstr(edit, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LibeditTerminal::on_paste(EditLine* edit, int) {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t next = 0;
    if (read_char(edit, &next) != 1) return CC_EOF;
    if (next == kInterruptKey) return on_interrupt(edit, 0);
    if (next == L'\r') next = L'\n';  // terminals paste line ends as the key Enter
    if (next != L'\0') text += next;
  }
  text.resize(text.size() - kPasteEnd.size());
  while (text.ends_with(L'\n')) text.pop_back();  // Enter sends, so that one can look before
  return text.empty() || el_winsertstr(edit, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

}  // namespace

std::unique_ptr<EditTerminal> EditTerminal::open(std::string history_file) {
  const char* type = std::getenv("TERM");
  const bool can_move = type != nullptr && *type != '\0' && std::strcmp(type, "dumb") != 0;
  if (!can_move || !is_terminal(0) || !is_terminal(2)) return nullptr;
  return std::make_unique<LibeditTerminal>(std::move(history_file));
}

}  // namespace quire
