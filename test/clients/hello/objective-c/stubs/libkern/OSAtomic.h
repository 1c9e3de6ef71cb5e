// Apple's header has nothing that the generated code uses.
#include <stdint.h>
