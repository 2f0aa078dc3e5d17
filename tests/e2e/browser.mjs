// The browser of the tests; browser.py says in the environment where it is.
import {createRequire} from "node:module";

const {PLAYWRIGHT, CHROMIUM} = process.env;
const {chromium} = createRequire(import.meta.url)(PLAYWRIGHT);

export const launch = () => chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]});
