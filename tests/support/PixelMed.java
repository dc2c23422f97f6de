// PixelMed's two validators as one process: a line "SR path" or "IOD path" in, what they say and a last line out.

import com.pixelmed.dicom.AttributeList;
import com.pixelmed.validate.DicomInstanceValidator;
import com.pixelmed.validate.DicomSRValidator;
import java.io.BufferedReader;
import java.io.InputStreamReader;

public class PixelMed {
    public static void main(String[] arguments) throws Exception {
        System.setErr(System.out);
        DicomSRValidator reports = null;
        DicomInstanceValidator objects = null;
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in));
        for (String line = asked.readLine(); line != null; line = asked.readLine()) {
            String[] words = line.split(" ", 2);
            try {
                if (words[0].equals("SR")) {
                    if (reports == null) reports = new DicomSRValidator();
                    // Its own program turns the last of these on with no option: -checktemplateid sets another one.
                    boolean describe = false, matchCase = true, ambiguous = false, order = true, templateId = true;
                    System.out.print(reports.validate(words[1], describe, matchCase, ambiguous, order, templateId));
                } else {
                    if (objects == null) objects = new DicomInstanceValidator();
                    AttributeList read = new AttributeList();
                    read.read(words[1]);
                    System.out.print(objects.validate(read));
                }
            } catch (Exception error) {
                System.out.println("Error: " + error);
            }
            System.out.println("\n-- " + line);
            System.out.flush();
        }
    }
}
