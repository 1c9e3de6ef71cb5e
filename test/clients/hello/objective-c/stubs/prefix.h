// What the runtime takes from Apple's headers, and GNUstep's lack.
#import <Foundation/Foundation.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
// Of the GNU C library, for its functions.
#undef __nonnull
#define __nonnull _Nonnull
#define __nullable _Nullable
#define CF_EXTERN_C_BEGIN
#define CF_EXTERN_C_END
#define NS_NOESCAPE
