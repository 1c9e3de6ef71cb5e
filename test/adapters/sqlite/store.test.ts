import { storeContract } from "../../../src/testing/store.ts";
import { openSqlite } from "../../support/store-sqlite.ts";

// `npm run test:package` runs the suite on a store in memory.
storeContract("SqliteStore in a folder", openSqlite);
