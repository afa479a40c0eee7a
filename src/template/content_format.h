// How a template reads the contents of messages, found from its tree.
#pragma once

#include "template/ast.h"
#include "template/chat_template.h"

namespace quire::jinja {

// From what the template does with `content` of the members of `messages`, through variables, namespaces and
// macros: whoever loops over it, takes an element's text or type, or picks elements by a member wants parts.
ContentFormat find_content_format(const Ast& ast);

}  // namespace quire::jinja
