/** The names of all kinds of a message on the command line, in the order of the contract. */
export const kindNames = ["notification", "activity", "event"] as const;

/** The name of a kind on the command line. */
export type KindName = (typeof kindNames)[number];
