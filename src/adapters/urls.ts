/** URLs of the servers behind several nodes: what may stand there, and how they are shown. */

const hosts = String.raw`[^@/?#\s]+`;
const credentials = String.raw`(?:[^@/?#\s]*@)?`;

/** With the name of the database: the driver's own default is one for tests. Source: https://www.mongodb.com/docs/manual/reference/connection-string/ */
const storeForm = new RegExp(String.raw`^mongodb(?:\+srv)?://${credentials}${hosts}/[^?#\s/]+(?:\?[^#\s]*)?$`);

/** Sentinel and Cluster name several servers, by commas; Sentinel also the name of the master, as the path. Braces would name a slot of a Cluster. */
const busForm = new RegExp(
  String.raw`^(?:rediss?://${credentials}[^@/?#,\s]+(?:/\d*)?|rediss?\+cluster://${credentials}${hosts}/?|rediss?\+sentinel://${credentials}${hosts}/[^/?#\s]+(?:/\d*)?)(?:\?prefix=[\w.:-]{1,64})?$`,
);

/** What a store's URL must be, to follow "must be". */
export const storeUrlRule =
  "a mongodb:// or mongodb+srv:// URL with the name of a database, such as mongodb://db1,db2/tidings?replicaSet=rs0";

/** What a bus's URL must be, to follow "must be". */
export const busUrlRule =
  "a redis:// or rediss:// URL, such as redis://cache:6379/0, redis+cluster://a:6379,b:6379 or redis+sentinel://a:26379,b:26379/mymaster/0, with ?prefix=name where services share it";

/** Whether a store can be opened by this URL, as far as its form tells. */
export function isStoreUrl(url: string): boolean {
  return storeForm.test(url);
}

/** Whether a bus can be opened by this URL, as far as its form tells. */
export function isBusUrl(url: string): boolean {
  return busForm.test(url);
}

/** The password of a URL as it is written there, and as it is meant; none: empty. */
export function passwordsOf(url: string): string[] {
  const written = /^[^:]+:\/\/[^:@/?#]*:([^@/?#]*)@/.exec(url)?.[1];
  if (!written) return [];
  try {
    return [...new Set([written, decodeURIComponent(written)])];
  } catch {
    return [written];
  }
}
