-- The anchor of the heading that a chunk stands under, where it is not what the section's last heading usually gets.
ALTER TABLE chunks ADD COLUMN anchor text;
