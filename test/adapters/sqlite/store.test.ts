import { storeContract } from "../../../src/testing/store.ts";
import { openSqlite, openSqliteInMemory } from "../../support/store-sqlite.ts";

storeContract("SqliteStore in a folder", openSqlite);
storeContract("SqliteStore in memory", openSqliteInMemory);
