// The one error type that the library throws: quire::Error with a kind and a message that carries the wrong
// values.
#pragma once

#include "base/error.h"
