/** The scenario: tests that every client must pass. */
import { afterAll, beforeAll, describe } from "vitest";
import { startServer, type TestServer } from "../../../support/server.ts";
import type { Connect, Driver, Traits } from "../driver.ts";
import { endings } from "./endings.ts";
import { errors } from "./errors.ts";
import { inbox } from "./inbox.ts";
import { payloads } from "./payloads.ts";
import type { Stage } from "./people.ts";
import { publishing } from "./publishing.ts";
import { rooms } from "./rooms.ts";
import { streams } from "./streams.ts";

const full: Traits = { deadlineMs: 500, streamDetails: true };

/** Registers the tests of a client, against one server. */
export function scenario(name: string, connect: Connect, traits: Traits = full): void {
  describe.concurrent(name, () => {
    let server: TestServer | undefined;
    let driver: Driver | undefined;
    const stage: Stage = {
      get server() {
        return server as TestServer;
      },
      get driver() {
        return driver as Driver;
      },
    };

    beforeAll(async () => {
      server = await startServer();
      driver = await connect(server.url);
    });
    afterAll(async () => {
      driver?.close();
      await server?.stop();
    });

    publishing(stage);
    inbox(stage);
    payloads(stage);
    streams(stage);
    rooms(stage);
    errors(stage, traits);
    endings(stage, connect, traits);
  });
}
