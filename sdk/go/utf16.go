package tidings

import (
	"slices"
	"unicode/utf16"
)

// compareUTF16 compares two strings by their UTF-16 code units. Comparing bytes would place U+FFFD before U+1F600, whose
// UTF-16 form begins with the lower unit U+D83D.
func compareUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}
