/** The messages and selections that the port suites use. */
export * from "../../src/testing/messages.ts";
