// What only this browser should know, such as who a phone is in a meeting: in a cookie, because the server reads it with
// the first request of a later visit, and nobody else sees it as they would see an address.
export default function ({ data }) {
  if (!data?.name || !data.value) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.value}; path=/; max-age=${data.seconds}; SameSite=Lax${secure}`;
}
