/** All scenarios, in the order in which they are reported. */
import type { Scenario } from "../stage.ts";
import { connectionScenarios } from "./connection.ts";

/** The scenarios of the kit. */
export const scenarios: readonly Scenario[] = [...connectionScenarios];
