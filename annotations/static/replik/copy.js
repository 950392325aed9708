// "Copy" beside a field: shown only where a script can do it.
for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copied";
    } catch {
      // No clipboard without HTTPS: the text is selected, the keyboard does the rest.
      said.textContent = "Selected. Copy it with the keyboard.";
    }
  });
}
