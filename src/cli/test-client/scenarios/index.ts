/** All scenarios, in the order in which they are reported. */
import type { Scenario } from "../stage.ts";
import { connectionScenarios } from "./connection.ts";
import { formScenarios } from "./forms.ts";
import { listScenarios } from "./lists.ts";
import { positionScenarios } from "./positions.ts";
import { publishScenarios } from "./publishing.ts";
import { refusalScenarios } from "./refusals.ts";
import { roomScenarios } from "./rooms.ts";
import { totalScenarios } from "./totals.ts";

/** The scenarios of the kit. */
export const scenarios: readonly Scenario[] = [
  ...connectionScenarios,
  ...refusalScenarios,
  ...positionScenarios,
  ...totalScenarios,
  ...roomScenarios,
  ...formScenarios,
  ...listScenarios,
  ...publishScenarios,
];
