/** The forms of the URLs of stores and buses, and the passwords in them. */

const hosts = String.raw`[^@/?#\s]+`;
const credentials = String.raw`(?:[^@/?#\s]*@)?`;

/**
 * The name of the database is required, because the driver's default is the database `test`.
 * Source: https://www.mongodb.com/docs/manual/reference/connection-string/
 */
const storeForm = new RegExp(String.raw`^mongodb(?:\+srv)?://${credentials}${hosts}/[^?#\s/]+(?:\?[^#\s]*)?$`);

/**
 * Sentinel and Cluster name several servers, separated by commas. The path of Sentinel is the name of the master, and a
 * database. A prefix has no braces, because these would put all keys into one slot of a Cluster.
 */
const busForm = new RegExp(
  String.raw`^(?:rediss?://${credentials}[^@/?#,\s]+(?:/\d*)?|rediss?\+cluster://${credentials}${hosts}/?|rediss?\+sentinel://${credentials}${hosts}/[^/?#\s]+(?:/\d*)?)(?:\?prefix=[\w.:-]{1,64})?$`,
);

/** The rule of a store's URL, to follow the words "must be" in an error. */
export const storeUrlRule =
  "a mongodb:// or mongodb+srv:// URL with the name of a database, such as mongodb://db1,db2/tidings?replicaSet=rs0";

/** The rule of a bus's URL, to follow the words "must be" in an error. */
export const busUrlRule =
  "a redis:// or rediss:// URL, such as redis://cache:6379/0, redis+cluster://a:6379,b:6379 or redis+sentinel://a:26379,b:26379/mymaster/0, with ?prefix=name where services share it";

/** Reports whether a URL has the form of a store's. */
export function isStoreUrl(url: string): boolean {
  return storeForm.test(url);
}

/** Reports whether a URL has the form of a bus's. */
export function isBusUrl(url: string): boolean {
  return busForm.test(url);
}

/** The password of a URL as it is written, and as it is decoded if that differs. Empty if there is none. */
export function passwordsOf(url: string): string[] {
  const written = /^[^:]+:\/\/[^:@/?#]*:([^@/?#]*)@/.exec(url)?.[1];
  if (!written) return [];
  try {
    return [...new Set([written, decodeURIComponent(written)])];
  } catch {
    return [written];
  }
}
