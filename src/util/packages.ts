/** Packages that users install only for the options that need them. */

/**
 * Imports code that needs other packages. Where one of them is not installed, rejects with an Error that names the option
 * and how to install them.
 */
export async function importWith<T>(option: string, packages: readonly string[], load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isMissing(cause, packages)) throw cause;
    const what = packages.length === 1 ? "a package that is" : "packages that are";
    throw new Error(`${option}: needs ${what} not installed; run npm install ${packages.join(" ")}`, { cause });
  }
}

/** Node's error for an import of a package that is in no node_modules folder, and not for one inside such a package. */
function isMissing(error: unknown, packages: readonly string[]): boolean {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== "ERR_MODULE_NOT_FOUND") return false;
  const name = /^Cannot find package '([^']+)'/.exec((error as Error).message)?.[1];
  return name !== undefined && packages.includes(name);
}
