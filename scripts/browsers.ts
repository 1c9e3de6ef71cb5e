/**
 * The oldest browsers that the client and the pages of this repository run in: those of early 2023, and so of more than
 * two and a half years. iOS 16.4 runs on the iPhone 8, Chrome 109 on Windows 7, Firefox 115 is a long-term release.
 */
export const oldestBrowsers = ["chrome109", "edge109", "firefox115", "safari16.4", "ios16.4"];
