<?php
// A slow request, to see that a stop waits for it: /index.php?seconds=3
$seconds = min(5, (int) ($_GET['seconds'] ?? 0));
sleep($seconds);
echo "answered after $seconds s\n";
